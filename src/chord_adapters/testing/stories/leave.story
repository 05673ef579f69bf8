# chord story 1
# Who leaves hands its records on: all can be read at once, and who has left says that it is closed.

ring a b c d e
----
ideal ring of 5

put a k1 one
put b k2 two
put c k3 three
store d letter "a few words"
----
version 1
version 1
version 1
ea0ee235a3d96fe4ec846eaa3ef3a06b3b8f4337, 11 bytes

leave b drain
get a k1
get c k2
get d k3
----
left
one (version 1)
two (version 1)
three (version 1)

get b k1
----
Closed

leave a
leave e
get c k1
get d k2
get c k3
fetch d letter
settle
----
left
left
one (version 1)
two (version 1)
three (version 1)
11 bytes, as stored
ideal ring of 2

# The last member has nobody to hand over to.
leave c
leave d drain
----
left
Timeout
