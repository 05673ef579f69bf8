# chord story 1
# Who joins later reads all that was written before, also a second node at once, with several places on the circle.

start a
settle
----
ready
ideal ring of 1

put a k1 one
put a k2 two
put a k3 three
store a letter "a few words"
----
version 1
version 1
version 1
ea0ee235a3d96fe4ec846eaa3ef3a06b3b8f4337, 11 bytes

start b join=a
get b k1
get b k2
get b k3
----
ready
one (version 1)
two (version 1)
three (version 1)

start c join=b virtual=3
settle
get c k1
fetch c letter
owner k2
----
ready
ideal ring of 3
one (version 1)
11 bytes, as stored
one owner, named by all 3

# A contact that is down does not hinder joining by another.
crash b
start d join=b,a
get d k3
settle
----
crashed
ready
three (version 1)
ideal ring of 3
