#!/bin/sh
# Brings Temporal's two databases to the version of this image. Safe to repeat.
# The connection comes from SQL_HOST, SQL_PORT, SQL_USER and SQL_PASSWORD.
set -eu

versions=/etc/temporal/schema/postgresql/v12

sql_tool() {
    temporal-sql-tool --plugin postgres12 --ep "$SQL_HOST" -p "$SQL_PORT" -u "$SQL_USER" --db "$@"
}

prepare() { # database, folder of versions
    # A database that has never been prepared has no version table, which the update reports.
    if ! sql_tool "$1" update-schema -d "$versions/$2/versioned"; then
        sql_tool "$1" setup-schema -v 0.0
        sql_tool "$1" update-schema -d "$versions/$2/versioned"
    fi
}

prepare temporal temporal
prepare temporal_visibility visibility
