"""The codec of Temporal's payloads, without Temporal: what is sealed, what opens, what is refused."""

from __future__ import annotations

import ast
import base64
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from temporalio.api.common.v1 import Payload

from infra.clients.codec import ENCODING, KEY_ID, EncryptionCodec, KeyRing, data_converter
from infra.errors import MisuseError, PayloadRefusedError
from infra.secrets import Secret
from infra.settings import TemporalSettings

ROOT = Path(__file__).parents[2]
OLD = "old=" + base64.b64encode(bytes(range(32))).decode()
NEW = "new=" + base64.b64encode(bytes(range(32, 64))).decode()

payloads = st.builds(
    Payload,
    metadata=st.dictionaries(st.text(max_size=20), st.binary(max_size=40), max_size=4),
    data=st.binary(max_size=500),
)


def settings_of(keys: str, *, accept_plaintext: bool = False) -> TemporalSettings:
    """Settings with these keys."""
    return TemporalSettings(payload_keys=Secret(keys), payload_accept_plaintext=accept_plaintext)


def codec_of(*keys: str, accept_plaintext: bool = False) -> EncryptionCodec:
    """A codec with these keys, the first of which seals."""
    ring = KeyRing.of(settings_of(",".join(keys)))
    return EncryptionCodec(ring, accept_plaintext=accept_plaintext)


def a_payload(text: str = "the canary") -> Payload:
    """A payload as the SDK makes it."""
    return Payload(metadata={"encoding": b"json/plain"}, data=text.encode())


@given(payloads)
async def test_whatever_is_sealed_opens_as_it_was(payload: Payload) -> None:
    """Any payload comes back equal, and its sealed form repeats nothing of it."""
    [sealed] = await codec_of(NEW).encode([payload])
    assert sealed.metadata["encoding"] == ENCODING
    assert len(payload.data) < 8 or payload.data not in sealed.data
    assert await codec_of(NEW).decode([sealed]) == [payload]


async def test_one_payload_sealed_twice_looks_different() -> None:
    """A nonce is never used again: equal values cannot be told from each other."""
    [one, two] = await codec_of(NEW).encode([a_payload(), a_payload()])
    assert one.data != two.data
    assert one.data[:12] != two.data[:12]


async def test_a_rotation_reads_the_old_and_writes_the_new() -> None:
    """The first key seals; any key of the ring opens; a ring without the key says which one it lacks."""
    [before] = await codec_of(OLD).encode([a_payload()])
    [after] = await codec_of(NEW, OLD).encode([a_payload()])
    assert after.metadata[KEY_ID] == b"new"
    assert await codec_of(NEW, OLD).decode([before, after]) == [a_payload(), a_payload()]
    assert await codec_of(OLD, NEW).decode([after]) == [a_payload()]
    with pytest.raises(PayloadRefusedError, match="the key 'old', which this process lacks"):
        await codec_of(NEW).decode([before])


@given(place=st.integers(min_value=0, max_value=10_000), bit=st.integers(min_value=0, max_value=7))
async def test_a_payload_that_was_changed_does_not_open(place: int, bit: int) -> None:
    """Any one bit of the nonce, the text or the tag, flipped, is noticed."""
    [sealed] = await codec_of(NEW).encode([a_payload()])
    data = bytearray(sealed.data)
    data[place % len(data)] ^= 1 << bit
    sealed.data = bytes(data)
    with pytest.raises(PayloadRefusedError, match="does not open"):
        await codec_of(NEW).decode([sealed])


@pytest.mark.parametrize(
    "change",
    [
        {"encryption-cipher": b"none"},
        {"something": b"added"},
        {KEY_ID: b"twin"},
        {KEY_ID: b"missing"},
    ],
    ids=str,
)
async def test_the_metadata_are_sealed_too(change: dict[str, bytes]) -> None:
    """A changed cipher, an added entry, another key's name: refused, even where that other key is the same key."""
    twin = NEW.replace("new=", "twin=")
    [sealed] = await codec_of(NEW).encode([a_payload()])
    for name, value in change.items():
        sealed.metadata[name] = value
    with pytest.raises(PayloadRefusedError):
        await codec_of(NEW, twin).decode([sealed])


@pytest.mark.parametrize("length", [0, 11, 27])
async def test_a_payload_that_is_too_short_is_refused(length: int) -> None:
    """What cannot hold a nonce and a tag never reaches the cipher."""
    short = Payload(metadata={"encoding": ENCODING, KEY_ID: b"new"}, data=b"x" * length)
    with pytest.raises(PayloadRefusedError, match="too short"):
        await codec_of(NEW).decode([short])


async def test_it_fails_closed_in_both_directions() -> None:
    """With keys no plaintext, without keys nothing encrypted, unless a rollover has been switched on."""
    with pytest.raises(PayloadRefusedError, match="is not encrypted"):
        await codec_of(NEW).decode([a_payload()])
    assert await codec_of(NEW, accept_plaintext=True).decode([a_payload()]) == [a_payload()]
    sealed = await codec_of(NEW).encode([a_payload()])
    with pytest.raises(PayloadRefusedError, match="has no keys"):
        await EncryptionCodec(None).decode(sealed)
    assert await EncryptionCodec(None).encode([a_payload()]) == [a_payload()]


def test_plaintext_is_refused_unless_told() -> None:
    """The switch for a rollover is off by default."""
    assert TemporalSettings().payload_accept_plaintext is False


@pytest.mark.parametrize(
    "keys",
    [
        base64.b64encode(b"canary-canary-canary-canary-cana").decode(),
        "id=Y2FuYXJ5",
        "id=canary canary",
        "id=",
        f"{NEW},{NEW}",
        f"{NEW},",
        "a b=" + base64.b64encode(b"canary-canary-canary-canary-cana").decode(),
        "id=env:TIDEGATE_NO_SUCH_VARIABLE",
    ],
)
def test_keys_that_are_none_are_refused_without_showing_them(keys: str) -> None:
    """One line that names the setting or the variable, and nothing of a key."""
    with pytest.raises(MisuseError) as refused:
        data_converter(settings_of(keys))
    text = str(refused.value)
    assert "\n" not in text
    assert "TIDEGATE_" in text
    for shown in ("canary", "Y2FuYXJ5", NEW.removeprefix("new=")):
        assert shown not in text
    assert refused.value.exit_status == 2


def test_a_key_may_stand_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One key in a mounted file, one in the environment; or the whole ring in one place."""
    (tmp_path / "old").write_text(OLD.removeprefix("old=") + "\n")
    monkeypatch.setenv("THE_NEW_KEY", NEW.removeprefix("new="))
    ring = KeyRing.of(settings_of(f"new=env:THE_NEW_KEY,old=file:{tmp_path}/old"))
    assert ring == KeyRing.of(settings_of(f"{NEW},{OLD}"))
    (tmp_path / "ring").write_text(f"new=env:THE_NEW_KEY,{OLD}\n")
    assert KeyRing.of(settings_of(f"file:{tmp_path}/ring")) == ring


def test_a_ring_does_not_show_its_keys() -> None:
    """Neither the ring nor the settings print a key."""
    settings = settings_of(NEW)
    for shown in (repr(KeyRing.of(settings)), repr(settings), settings.model_dump_json()):
        assert NEW.removeprefix("new=") not in shown


def test_wrong_settings_are_not_shown() -> None:
    """A key given in another type than text is refused without being repeated by us."""
    with pytest.raises(ValidationError):
        TemporalSettings.model_validate({"payload_keys": 7})


def test_every_client_of_temporal_is_made_in_one_place() -> None:
    """Only infra/clients/temporal.py connects, so the codec reaches every client; the probes of the local stack send
    no payload."""
    connecting = set()
    for room in ("tidegate", "consumers", "workflows", "services", "outbox", "schemas", "infra"):
        for path in (ROOT / room).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Attribute) and node.attr in {"connect", "connect_sync"}:
                    owner = ast.unparse(node.value)
                    if owner.split(".")[-1] in {"Client", "ServiceClient"}:
                        connecting.add(str(path.relative_to(ROOT)))
    assert connecting == {"infra/clients/temporal.py", "infra/local/probes.py"}
