"""What is kept up of a ring step by step agrees with the properties of the whole ring."""

from __future__ import annotations

import random
from collections.abc import Iterable
from itertools import permutations, product

import attrs
import pytest

from chord_proto.config import Config
from chord_proto.invariants import Living, UnderWay, as_kept, check, ideal_neighbours
from chord_proto.messages import Neighbours
from chord_proto.phase import Phase
from chord_proto.view import NodeView
from tests.sim.made_up import TWO, changed, ideal, peer, peers, ring, view


def kept_up(views: Iterable[NodeView], config: Config) -> Living:
    """Return what was told of these nodes one after the other."""
    living = Living(config)
    for each in views:
        living.keep(each.me, each.successors)
    return living


@pytest.mark.parametrize("r", [1, 2])
def test_living_successors_and_principals_imply_the_rest(r: int) -> None:
    """Whatever lists three members have, `Living` holds exactly while no property of scope Z is violated."""
    config = attrs.evolve(TWO, successors=r, replicas=1)
    members, others = (10, 20, 30), (10, 20, 25, 30)
    lists = [each for length in range(r + 1) for each in permutations(others, length)]
    outcomes = {True: 0, False: 0}
    for chosen in product(lists, repeat=3):
        views = [view(place, after) for place, after in zip(members, chosen, strict=True) if place not in after]
        found = check(ring(*views, config=config), {"Z"})
        holds = kept_up(views, config).holds()
        assert (not found) == holds, found
        outcomes[holds] += 1
    assert min(outcomes.values()) > 0, outcomes


def test_what_is_kept_up_step_by_step_agrees_with_what_is_worked_out_anew() -> None:
    """The same on random rings that change a little at a time, with a list under way."""
    chance, outcomes = random.Random(4), {True: 0, False: 0}
    for _ in range(300):
        config = attrs.evolve(TWO, successors=chance.choice((1, 2, 3)), replicas=1)
        views = {each.me.id: each for each in ideal(3, 17, 29, 40, 55, config=config)}
        living = kept_up(views.values(), config)
        for _ in range(12):
            place = chance.choice((*views, chance.randrange(64)))
            if place in views and len(views) > 1 and chance.random() < 0.3:
                del views[place]
                living.lose(place)
            else:
                others = peers(*(other for other in (*views, chance.randrange(64)) if other != place))
                want = ideal_neighbours(others, peer(place), config).successors
                if chance.random() < 0.3:
                    want = tuple(each for each in want if chance.random() < 0.7)
                if chance.random() < 0.1:
                    want = want[::-1]
                views[place] = view(place, tuple(each.id for each in want))
                living.keep(peer(place), want)
            chosen, receiver = chance.choice(tuple(views.values())), chance.choice(tuple(views))
            heard = Neighbours(chosen.me, 1, receiver, 1, 7, None, chosen.successors, came_round=False, width=1)
            views[receiver] = changed(views[receiver], {"requests": ((7, "n", 5.0),)})
            found = check(ring(*views.values(), config=config, under_way=(UnderWay(heard, 0.0),)), {"Z"})
            kept = as_kept(peer(receiver), Phase.ACTIVE, heard, config)
            holds = living.holds([] if kept is None else [(peer(receiver), *kept)])
            assert (not found) == holds, found
            outcomes[holds] += 1
    assert min(outcomes.values()) > 300, outcomes
