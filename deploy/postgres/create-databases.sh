#!/bin/sh
# Runs once, when the volume is empty: one role and its databases for Temporal, one for Seaway.
# The passwords come by the environment, so that they stand in no process list.
set -eu

psql --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres <<'SQL'
\getenv seaway_password SEAWAY_POSTGRES_PASSWORD
\getenv temporal_password TEMPORAL_POSTGRES_PASSWORD
CREATE ROLE seaway LOGIN PASSWORD :'seaway_password';
CREATE ROLE temporal LOGIN PASSWORD :'temporal_password';
CREATE DATABASE seaway OWNER seaway;
CREATE DATABASE temporal OWNER temporal;
CREATE DATABASE temporal_visibility OWNER temporal;
SQL
