"""Which states of a finished graph are never left again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence


def terminal_groups(edges: Sequence[Sequence[int]]) -> Iterator[list[int]]:
    """Yield the strongly connected groups of states out of which nothing leads (Tarjan 1972, without recursion)."""
    index: dict[int, int] = {}
    low: dict[int, int] = {}
    group_of: dict[int, int] = {}
    stack: list[int] = []
    groups = 0
    for root in range(len(edges)):
        if root in index:
            continue
        work = [(root, 0)]
        while work:
            here, position = work.pop()
            if position == 0:
                index[here] = low[here] = len(index)
                stack.append(here)
            following = edges[here]
            while position < len(following):
                there = following[position]
                position += 1
                if there not in index:
                    work += [(here, position), (there, 0)]
                    break
                if there not in group_of:
                    low[here] = min(low[here], low[there] if there in low else index[there])
            else:
                if low[here] == index[here]:
                    group: list[int] = []
                    while not group or group[-1] != here:
                        group.append(stack.pop())
                        group_of[group[-1]] = groups
                    groups += 1
                    if all(group_of[there] == group_of[here] for each in group for there in edges[each]):
                        yield group
                elif work:
                    parent = work[-1][0]
                    low[parent] = min(low[parent], low[here])
