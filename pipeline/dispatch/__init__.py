"""The dispatcher: which jobs wait in Redis, which leases have lapsed, which runs move on, and what is due tonight."""
