"""A plain script as a user would write it, to be stopped by signals."""

import asyncio
import sys

from nbp_async import Client, Limits, Profile


async def main(url: str, key: str, folder: str) -> None:
    profile = Profile(name="vendor", base_url=url)
    async with Client(profile, key, limits=Limits(max_in_flight=4)) as gen:
        print("ready", flush=True)
        batch = await gen.many([f"prompt {n}" for n in range(50)], size="1K", out=folder)
        print(f"{len(batch.images)} images, {len(batch.billing.unclear)} unclear", flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
