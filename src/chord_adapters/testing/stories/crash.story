# chord story 1
# Two of six crash without a word to anybody; with three replicas nothing is lost, and the ring closes.

ring a b c d e f
----
ideal ring of 6

put a k1 one
put b k2 two
put c k3 three
store d letter size=100000
----
version 1
version 1
version 1
0be96c78dbeb65d60f05f9df83d503467ea898e1, 100000 bytes

crash b
crash e
get a k1
get c k2
get d k3
fetch f letter
settle
----
crashed
crashed
one (version 1)
two (version 1)
three (version 1)
100000 bytes, as stored
ideal ring of 4

put f k1 uno
get a k1
----
version 2
uno (version 2)

# A new life at the old address.
start b join=a
get b k1
settle
----
ready
uno (version 2)
ideal ring of 5

get e k1
----
Closed
