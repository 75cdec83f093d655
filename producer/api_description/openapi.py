"""The OpenAPI document: the table of operations, and the types that it names, in the words of OpenAPI 3.1."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.metadata import version
from typing import Any

import msgspec

from producer.api_description.operations import Answer, Operation, Parameter
from producer.api_description.table import TAGS
from producer.api_description.usual_answers import HEADERS
from producer.request.batch_form import BatchForm
from producer.request.users_json import UserForm
from producer.settings import ServerSettings
from schemas.bounds import MAX_NAME
from schemas.records import AudienceType

Json = dict[str, Any]

REFERENCE = "#/components/schemas/{name}"
DISTRIBUTION = "audience-api"


def openapi(operations: Sequence[Operation], settings: ServerSettings) -> Json:
    """Return the document of a server with these settings."""
    schemas = _Schemas(operations)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Audience API",
            "version": version(DISTRIBUTION),
            "description": "Push one customer list to every marketing platform, and ask what became of each user.",
        },
        "servers": [{"url": settings.public_url or "/"}],
        "tags": [{"name": name, "description": text} for name, text in TAGS.items()],
        "security": [{"bearer": []}] if settings.tokens else [{"bearer": []}, {}],
        "paths": _paths(operations, schemas, settings),
        "components": {
            "schemas": schemas.components,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "One of the server's tokens."}
            },
        },
    }


class _Schemas:
    """JSON Schemas of all types that operations name, in one set of components."""

    def __init__(self, operations: Sequence[Operation]) -> None:
        self._types = [*_types_of(operations), UserForm, AudienceType]
        found, components = msgspec.json.schema_components(self._types, ref_template=REFERENCE)
        form = BatchForm.model_json_schema(ref_template=REFERENCE.replace("{name}", "{model}"))
        self._found = list(found)
        self.components: Json = _plain({**components, BatchForm.__name__: form}, are_members=True)

    def of(self, type_: Any) -> Json:
        """Return the schema of a type, which for one with members refers to a component."""
        if type_ is str:
            return {"type": "string"}
        schema: Json = _plain(self._found[next(at for at, one in enumerate(self._types) if one is type_)])
        return schema


def _types_of(operations: Iterable[Operation]) -> Iterator[Any]:
    """Yield each type that is named, those of headers first."""
    yield from (header.type for header in HEADERS.values())
    for operation in operations:
        yield from (parameter.type for parameter in operation.parameters)
        for answer in operation.answers.values():
            yield from answer.content.values()


def _plain(schema: Any, *, are_members: bool = False) -> Any:
    """Return a schema without titles, which only repeat names, and without empty lists of what is required."""
    if isinstance(schema, list):
        return [_plain(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        name: _plain(value, are_members=name == "properties" and not are_members)
        for name, value in schema.items()
        if are_members or (name != "title" and (name, value) != ("required", []))
    }


def _paths(operations: Sequence[Operation], schemas: _Schemas, settings: ServerSettings) -> Json:
    paths: dict[str, Json] = {}
    for operation in operations:
        item = paths.setdefault(operation.path, {})
        item[operation.method] = _operation(operation, schemas, settings)
        if operation.has_head:
            item["head"] = _head(item[operation.method])
    return paths


def _operation(operation: Operation, schemas: _Schemas, settings: ServerSettings) -> Json:
    described: Json = {
        "operationId": operation.id,
        "tags": [operation.tag],
        "summary": operation.summary,
        "description": operation.description,
        "responses": {str(status): _answer(operation.answers[status], schemas) for status in sorted(operation.answers)},
    }
    if operation.parameters:
        described["parameters"] = [_parameter(parameter, schemas) for parameter in operation.parameters]
    if operation.has_form:
        described["requestBody"] = _form(schemas, settings)
    if operation.is_open:
        described["security"] = [{}]
    return described


def _head(described: Mapping[str, Any]) -> Json:
    """Return the same operation by HEAD: its answers have no bodies."""
    answers = {
        status: {name: value for name, value in answer.items() if name != "content"}
        for status, answer in described["responses"].items()
    }
    identifier = re.sub(r"^get", "head", described["operationId"])
    return {**described, "operationId": identifier, "responses": answers}


def _parameter(parameter: Parameter, schemas: _Schemas) -> Json:
    schema = schemas.of(parameter.type)
    is_list = schema.get("type") == "array"
    return {
        "name": parameter.name,
        "in": parameter.place,
        "description": parameter.description,
        "required": parameter.place == "path",
        "schema": schema,
        **({"style": "form", "explode": False} if is_list else {}),
    }


def _answer(answer: Answer, schemas: _Schemas) -> Json:
    described: Json = {
        "description": answer.description,
        "content": {media: {"schema": schemas.of(type_)} for media, type_ in answer.content.items()},
    }
    if names := (*answer.headers, *answer.optional_headers):
        described["headers"] = {name: _header(name, schemas, always=name in answer.headers) for name in names}
    return described


def _header(name: str, schemas: _Schemas, *, always: bool) -> Json:
    header = HEADERS[name]
    return {"description": header.description, "required": always, "schema": schemas.of(header.type)}


def _form(schemas: _Schemas, settings: ServerSettings) -> Json:
    """Return the form of an upload.

    An object in a form is one part of JSON, and generated clients write it so; but of a list they write a part for
    each of its members, by the same name. So the users are a text that is JSON.
    """
    parts = {
        "name": {
            "type": "string",
            "minLength": 1,
            "maxLength": MAX_NAME,
            "description": "The audience's name, without the line ends around it.",
        },
        "type": {**schemas.of(AudienceType), "default": "custom", "description": "The audience's type."},
        "batch": {"$ref": REFERENCE.format(name=BatchForm.__name__), "description": "Where the batch stands."},
        "users": {
            "type": "string",
            "contentMediaType": "application/json",
            "contentSchema": {
                "type": "array",
                "minItems": 1,
                "maxItems": settings.max_users,
                "items": schemas.of(UserForm),
            },
            "description": f"The users, {settings.max_users} at most, as one JSON text.",
        },
    }
    described = f"{settings.max_body} bytes at most, within {settings.body_timeout:g} seconds."
    as_json = {"contentType": "application/json"}
    schema = {"type": "object", "required": ["name", "batch", "users"], "properties": parts}
    content = {"multipart/form-data": {"schema": schema, "encoding": {"batch": as_json, "users": as_json}}}
    return {"required": True, "description": described, "content": content}
