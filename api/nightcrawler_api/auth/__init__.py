"""Who is calling, and what they may: identities, teams, operations, decisions."""
