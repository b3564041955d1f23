-- name: row
-- A row as the relay wants it: what it decides by, and its headers as the bytes that a record of Kafka has. A header is
-- a length, its name, a length, its value. The extensions are left to Python, which meets few that differ, and stand
-- between `head` and `tail`; `headers` counts all but them. A time has 27 characters, whatever year somebody wrote.
id, topic, key, shard, (date_part('epoch', created_at) * 1000)::bigint AS timestamp_ms,
(7 + num_nonnulls(subject, sequence, correlation_id, causation_id, traceparent))::smallint AS headers,
{ce_id} || textsend(event_id::text)
|| {ce_source} || {source_length} || textsend(source)
|| {ce_type} || {type_length} || textsend(type)
|| {ce_time}
|| textsend(rpad(coalesce(to_char(time AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), ''), 27))
|| coalesce({ce_subject} || {subject_length} || textsend(subject), '')
|| coalesce({ce_sequence} || textsend(lpad(sequence::text, 20, '0')), '')
|| coalesce({ce_correlationid} || {correlation_id_length} || textsend(correlation_id), '')
|| coalesce({ce_causationid} || {causation_id_length} || textsend(causation_id), '') AS head,
extensions::text AS extensions,
{content_type}
|| coalesce({traceparent} || {traceparent_length} || textsend(traceparent), '')
|| {id} || textsend(event_id::text) AS tail,
value

-- name: length
-- How many bytes a text has, as Kafka writes it: doubled (the lowest bit is the sign's), seven bits a byte, the lowest
-- first; the highest bit of a byte says that one more follows. No broker takes a header that needs the last branch.
CASE WHEN octet_length({text}) < 64 THEN set_byte('\x00', 0, octet_length({text}) << 1)
     WHEN octet_length({text}) < 8192 THEN
         set_byte(set_byte('\x0000', 0, octet_length({text}) << 1 & 127 | 128), 1, octet_length({text}) >> 6)
     WHEN octet_length({text}) < 1048576 THEN
         set_byte(set_byte(set_byte('\x000000', 0, octet_length({text}) << 1 & 127 | 128),
                           1, octet_length({text}) >> 6 & 127 | 128), 2, octet_length({text}) >> 13)
     ELSE set_byte(set_byte(set_byte(set_byte(set_byte('\x0000000000', 0, octet_length({text}) << 1 & 127 | 128),
                                              1, octet_length({text}) >> 6 & 127 | 128),
                                     2, octet_length({text}) >> 13 & 127 | 128),
                            3, octet_length({text}) >> 20 & 127 | 128), 4, octet_length({text}) >> 27)
END
