"""Time-integrated activity: from activities at a few times to decays."""
