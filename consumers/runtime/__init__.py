"""A Kafka consumer that keeps the order of each key and works on many keys at once; it knows nothing of
Temporal.

`consumer.KafkaRuntime` reads topics and hands each record to a handler: `async def handler(record) -> None`.
A handler that returns is done with the record; one that raises a `consumers.errors.RetryLaterError` gets it
again.
"""
