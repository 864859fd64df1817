"""The pure heart of Seaway: rules without input or output, fully typed and tested with tables."""
