"""What Seaway remembers: SQLModel tables, encryption at rest and the queries of each resource."""
