"""nbp_async: hundreds of Nano Banana Pro images at once, each paid for once and none lost.

    async with Client.from_env() as gen:
        batch = await gen.many(prompts, size="4K", out="catalogue/")

Names are imported when they are first used, so that importing the package costs next to nothing.
"""

__version__ = "0.1.0"
