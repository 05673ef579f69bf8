"""A first ring: three nodes in one process, a record and a block."""

import asyncio

from chord_adapters.asyncio import open_node


async def main() -> None:
    async with open_node("127.0.0.1:0") as first, open_node("127.0.0.1:0", join=[first.address]) as second:
        await second.wait_ready()
        async with open_node("127.0.0.1:0", join=[second.address]) as third:
            await third.wait_ready()
            await first.put("users/42", b"Ada")
            print(await third.get("users/42"))
            key = await second.store(b"any bytes")
            print(f"{key:040x}", await third.fetch(key))


asyncio.run(main())
