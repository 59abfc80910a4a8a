"""PostgreSQL: migrations, the pool, and the repositories behind gateway.domain.ports.Store."""

from gateway.adapters.postgres.database import Database, PoolConfig
from gateway.adapters.postgres.migrate import check_applied, migrate

__all__ = ["Database", "PoolConfig", "check_applied", "migrate"]
