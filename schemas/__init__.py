"""Events: their schemas, their Python classes, their bytes and their headers.

``schemas.events``         the typed events, generated from ``schemas/avro``
``schemas.event``          what every typed event is
``schemas.codec``          events to bytes and back
``schemas.ids``            which schema id stands for which event
``schemas.registry``       ids from the schema registry, cached on disk
``schemas.lookup``         the codec, asking the registry for ids that it has not met
``schemas.envelope``       the CloudEvents headers of a record
``schemas.catalog``        the schemas themselves and the versions kept of them
``schemas.compatibility``  which change of a schema breaks which reader
``schemas.rules``          what this project asks of a schema beyond Avro
``schemas.generate``       the command that writes ``schemas.events`` and docs/events.md
"""
