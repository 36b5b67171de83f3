"""A Google storage of the tests' own: its JSON interface as gcsfs uses it, with faults on demand.

It serves buckets that tests make, in a thread, and counts what it is asked. Preconditions, ranges,
generations, uploads in parts and pages of listings are as Google documents them. A plan of faults
looks at each request and may have it refused, delayed, cut, dropped, or done and not answered.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import re
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import google_crc32c
import pytest
from aiohttp import web

from tests.google_faults import Kind, Plan, Request, calm, said


@dataclass(frozen=True)
class _Object:
    data: bytes
    generation: int


@dataclass
class _Upload:
    bucket: str
    name: str
    exclusive: bool
    data: bytes = b""
    done: _Object | None = None


class _RefusedError(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class GoogleStorage:
    """The server; `with serving() as google` starts one."""

    def __init__(self, page: int = 1000) -> None:
        self.page = page  # entries of a listing's page
        self.faults: Plan = calm
        self.requests: list[Request] = []
        self.bytes_sent = 0
        self.faults_met = 0
        self.url = ""
        self._buckets: dict[str, dict[str, _Object]] = {}
        self._uploads: list[_Upload] = []
        self._generation = 1_700_000_000_000_000

    # -- for tests

    def bucket(self, name: str) -> dict[str, bytes]:
        """Makes a bucket where there is none; what it holds."""
        return {key: found.data for key, found in self._buckets.setdefault(name, {}).items()}

    def empty(self) -> None:
        """Away with all buckets."""
        self._buckets.clear()

    def put(self, bucket: str, name: str, data: bytes) -> None:
        """An object, as if somebody had uploaded it."""
        self._store(self._buckets.setdefault(bucket, {}), name, data)

    def counts(self) -> Counter[str]:
        """How many requests of each kind there were since the last `reset`."""
        return Counter(request.kind for request in self.requests)

    def reset(self, faults: Plan = calm) -> None:
        """Another plan of faults, and counters at zero."""
        self.faults = faults
        self.requests, self.bytes_sent, self.faults_met = [], 0, 0

    # -- the interface

    async def handle(self, http: web.Request) -> web.StreamResponse:
        body = await http.read()
        request = _parsed(http, body)
        self.requests.append(request)
        fault = self.faults(request)
        self.faults_met += fault is not None
        if fault is not None and fault.effect in ("slow", "hang"):
            await asyncio.sleep(3600 if fault.effect == "hang" else fault.seconds)
        if fault is not None and fault.effect == "drop":
            return await self._hang_up(http)
        try:
            if fault is not None and fault.effect == "refuse":
                raise _RefusedError(fault.status, said(fault.status, request))
            answer = self._answer(http, request, body)
        except _RefusedError as error:
            text = {"error": {"code": error.status, "message": str(error)}}
            answer = web.json_response(text, status=error.status)
        if fault is not None and fault.effect == "lose":
            return await self._hang_up(http)
        content = answer.body if isinstance(answer.body, bytes) else b""
        if fault is not None and fault.effect == "cut":
            return await self._hang_up(http, answer, content)
        self.bytes_sent += len(content)
        return answer

    async def _hang_up(
        self, http: web.Request, answer: web.Response | None = None, content: bytes = b""
    ) -> web.StreamResponse:
        half = web.StreamResponse(status=answer.status if answer else 200)
        if answer is not None and len(content) > 1:
            half.content_length = len(content)
            half.content_type = answer.content_type
            await half.prepare(http)
            await half.write(content[: len(content) // 2])
        if http.transport is not None:
            http.transport.close()
        return half

    def _answer(self, http: web.Request, request: Request, body: bytes) -> web.Response:
        if request.bucket not in self._buckets:
            raise _RefusedError(404, "The specified bucket does not exist.")
        objects = self._buckets[request.bucket]
        if request.kind == "bucket":
            return web.json_response({"kind": "storage#bucket", "name": request.bucket})
        if request.kind == "list":
            return self._list(http, request.bucket, objects)
        if request.kind == "insert":
            return self._insert(http, request, objects, body)
        found = objects.get(request.name)
        wanted = http.query.get("generation")
        if found is None or (wanted and int(wanted) != found.generation):
            raise _RefusedError(404, f"No such object: {request.bucket}/{request.name}")
        if request.kind == "delete":
            del objects[request.name]
            return web.Response(status=204)
        if request.kind == "get":
            return _content(http, found)
        return web.json_response(_about(request.bucket, request.name, found))

    def _list(self, http: web.Request, bucket: str, objects: dict[str, _Object]) -> web.Response:
        prefix, delimiter = http.query.get("prefix", ""), http.query.get("delimiter", "")
        entries: dict[str, _Object | None] = {}
        for name in sorted(objects):
            if name.startswith(prefix):
                head, parts, _ = name[len(prefix) :].partition(delimiter or "\0")
                entries[prefix + head + delimiter if parts else name] = (
                    None if parts else objects[name]
                )
        after = http.query.get("pageToken", "")
        names = sorted(name for name in entries if name > after)
        most = min(self.page, int(http.query.get("maxResults", self.page)))
        shown = {name: entries[name] for name in names[:most]}
        answer: dict[str, Any] = {
            "kind": "storage#objects",
            "items": [_about(bucket, name, found) for name, found in shown.items() if found],
            "prefixes": [name for name, found in shown.items() if not found],
        }
        if len(names) > most:
            answer["nextPageToken"] = names[most - 1]
        return web.json_response(answer)

    def _insert(
        self, http: web.Request, request: Request, objects: dict[str, _Object], body: bytes
    ) -> web.Response:
        exclusive = http.query.get("ifGenerationMatch") == "0"
        if http.query["uploadType"] == "multipart":
            name, data = _multipart(http.headers["Content-Type"], body)
            return self._stored(request.bucket, name, data, exclusive, objects)
        number = http.query.get("upload_id")
        if number is None:
            self._uploads.append(_Upload(request.bucket, request.name, exclusive))
            place = f"{http.path}?uploadType=resumable&upload_id={len(self._uploads) - 1}"
            return web.Response(headers={"Location": self.url + place})
        upload = self._uploads[int(number)]
        if http.method == "DELETE":
            return web.Response(status=499)
        if upload.done is None:
            found = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", http.headers["Content-Range"])
            assert found is not None
            start, _, total = map(int, found.groups())
            # What was received before is passed over.
            upload.data += body[len(upload.data) - start :]
            if len(upload.data) < total:
                have = f"bytes=0-{len(upload.data) - 1}"
                return web.Response(status=308, headers={"Range": have})
            answer = self._stored(
                upload.bucket, upload.name, upload.data, upload.exclusive, objects
            )
            upload.done = objects[upload.name]
            return answer
        return web.json_response(_about(upload.bucket, upload.name, upload.done))

    def _stored(
        self, bucket: str, name: str, data: bytes, exclusive: bool, objects: dict[str, _Object]
    ) -> web.Response:
        if exclusive and name in objects:
            raise _RefusedError(
                412, "At least one of the pre-conditions you specified did not hold."
            )
        self._store(objects, name, data)
        return web.json_response(_about(bucket, name, objects[name]))

    def _store(self, objects: dict[str, _Object], name: str, data: bytes) -> None:
        self._generation += 1
        objects[name] = _Object(data, self._generation)


def _parsed(http: web.Request, body: bytes) -> Request:
    path = http.raw_path.partition("?")[0]
    found = re.fullmatch(r"(.*)/storage/v1/b/([^/]+)(?:/o(?:/(.+))?)?", path)
    assert found is not None, path
    how, bucket, name = found.group(1), unquote(found.group(2)), unquote(found.group(3) or "")
    kind: Kind
    if how == "/upload":
        kind, name = "insert", http.query.get("name", "")
        if http.query["uploadType"] == "multipart":
            name, _ = _multipart(http.headers["Content-Type"], body)
    elif not name:
        kind = "list" if path.endswith("/o") else "bucket"
    elif http.method == "DELETE":
        kind = "delete"
    else:
        kind = "get" if http.query.get("alt") == "media" else "meta"
    return Request(kind, bucket, name)


def _content(http: web.Request, found: _Object) -> web.Response:
    asked = re.fullmatch(r"bytes=(\d*)-(\d*)", http.headers.get("Range", ""))
    if asked is None:
        return web.Response(body=found.data, content_type="application/octet-stream")
    first, last = asked.groups()
    size = len(found.data)
    start = int(first) if first else max(0, size - int(last))
    end = min(int(last) + 1 if first and last else size, size)
    if start >= size:
        raise _RefusedError(416, "The requested range cannot be satisfied.")
    return web.Response(
        status=206,
        body=found.data[start:end],
        headers={"Content-Range": f"bytes {start}-{end - 1}/{size}"},
        content_type="application/octet-stream",
    )


def _about(bucket: str, name: str, found: _Object) -> dict[str, str]:
    crc = google_crc32c.Checksum(found.data).digest()
    return {
        "kind": "storage#object",
        "bucket": bucket,
        "name": name,
        "size": str(len(found.data)),
        "generation": str(found.generation),
        "md5Hash": base64.b64encode(hashlib.md5(found.data).digest()).decode(),
        "crc32c": base64.b64encode(crc).decode(),
        "timeCreated": "2026-01-15T10:15:30.000Z",
        "updated": "2026-01-15T10:15:30.000Z",
        "contentType": "application/octet-stream",
    }


def _multipart(kind: str, body: bytes) -> tuple[str, bytes]:
    boundary = re.search(r'boundary="?([^"]+)', kind)
    assert boundary is not None, kind
    mark = b"--" + boundary.group(1).encode()
    _, about, rest = body.split(mark, 2)
    name = json.loads(about.partition(b"\n\n")[2])["name"]
    data = rest.partition(b"\n\n")[2]
    return name, data[: data.rindex(b"\n" + mark + b"--")]


@contextmanager
def serving(page: int = 1000) -> Iterator[GoogleStorage]:
    """A server on this machine for the length of the block; gcsfs of this process, and of those
    that it starts, take it for Google's."""
    google = GoogleStorage(page)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="google-storage", daemon=True)
    thread.start()

    async def start() -> web.AppRunner:
        application = web.Application(client_max_size=2**30)
        application.router.add_route("*", "/{any:.*}", google.handle)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return runner

    runner = asyncio.run_coroutine_threadsafe(start(), loop).result(30)
    google.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("STORAGE_EMULATOR_HOST", google.url)
            patch.setenv("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
            yield google
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
