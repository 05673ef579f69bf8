# chord story 1
# A tenth of all pieces is lost, and one machine loses power without a word: slower, and all the same.

seed 3
ring a b c d e f
links loss=0.1 duplicate=0.1
put a k one
crash c silent
put b k two timeout=20
advance 30
pointers
get f k
----
ok
ideal ring of 6
ok
version 1
crashed
version 2
ok
d < b < f a e d
b < f < a e d b
f < a < e d b f
a < e < d b f a
e < d < b f a e
two (version 2)
