# chord story 1
# What cannot be done says why.

config max_value_size=1000
ring a b
----
ok
ideal ring of 2

put a k size=1000
put a k size=1001
get b k
----
version 1
ValueTooLarge
1000 bytes (version 1)

# Even the empty name is a name.
put a "" v
get a ""
----
version 1
v (version 1)

# Another network, a node that is not there, and a ring that was left.
start c join=a network=other timeout=10
put c k v timeout=0.3
----
JoinRefused
NotReady

crash b
start d join=b timeout=0.5
get d k timeout=0.3
----
crashed
NotReady
NotReady

client x at=a network=other
get x k timeout=2
----
ok
JoinRefused

leave a
get a k
put a k v
----
left
Closed
Closed
