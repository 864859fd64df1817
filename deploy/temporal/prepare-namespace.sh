#!/bin/sh
# Makes the namespace, sets its retention, registers the search attributes. Safe to repeat.
# TEMPORAL_ADDRESS and TEMPORAL_NAMESPACE are read by the `temporal` command itself.
set -eu

: "${RETENTION:=336h}"

attempts=0
until temporal operator cluster health >/dev/null; do
    attempts=$((attempts + 1))
    if [ "$attempts" -ge 30 ]; then
        echo "Temporal at $TEMPORAL_ADDRESS is not healthy after $attempts attempts." >&2
        exit 1
    fi
    sleep 2
done

if temporal operator namespace describe --namespace "$TEMPORAL_NAMESPACE" >/dev/null 2>&1; then
    temporal operator namespace update --namespace "$TEMPORAL_NAMESPACE" --retention "$RETENTION"
else
    temporal operator namespace create --namespace "$TEMPORAL_NAMESPACE" --retention "$RETENTION"
fi

# The names of workflows/names.py; a test compares them.
for attribute in \
    SeawayTeam SeawayProject SeawayApplication SeawayServer SeawayKind SeawayOutcome SeawayGitRef; do
    # A new namespace reaches the server's caches a moment later, so the first call may not know it yet.
    attempts=0
    until temporal operator search-attribute list --namespace "$TEMPORAL_NAMESPACE" | grep -qw "$attribute" ||
        temporal operator search-attribute create --namespace "$TEMPORAL_NAMESPACE" \
            --name "$attribute" --type Keyword; do
        attempts=$((attempts + 1))
        [ "$attempts" -lt 15 ] || exit 1
        sleep 2
    done
done
