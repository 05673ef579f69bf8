# chord story 1
# Five nodes are cut in two and for a while are two rings; healed, they are one again, and nothing written is lost.

config successors=3
seed 7
ring a b c d e
pointers
----
ok
ok
ideal ring of 5
d < c < b a e
c < b < a e d
b < a < e d c
a < e < d c b
e < d < c b a

put a k one
locate b k
owner k
----
version 1
c
one owner, named by all 5

partition a b / c d e
advance 20
pointers
----
ok
ok
d < c < e d
a < b < a
b < a < b
c < e < d c
e < d < c e

heal
advance 60
settle
get a k
get e k
----
ok
ok
ideal ring of 5
one (version 1)
one (version 1)
