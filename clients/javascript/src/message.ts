// What the server says, from text to values that can be trusted. Nothing here throws: what makes no
// sense is `undefined`, and what a later version adds is ignored.

import { decodeBase64 } from "./base64.js";
import type { Position, Publication } from "./types.js";

/** A JSON object of unknown members. */
export type Fields = Readonly<Record<string, unknown>>;

/** Where a publication stands in one room. */
export interface Place {
  readonly room: string;
  readonly offset: number;
}

/** The server's first words. */
export interface Hello {
  readonly kind: "hello";
  readonly session: string;
  readonly user: string | undefined;
  /** How often the server pings; 0 if it does not. */
  readonly pingIntervalMs: number;
  /** The rooms that the session is in already. */
  readonly rooms: readonly string[];
  /** The server's clock, in milliseconds since 1970. */
  readonly time: number;
}

/** One message of the server. */
export type Message =
  | Hello
  | { readonly kind: "answer"; readonly id: number; readonly body: Fields }
  | { readonly kind: "removed"; readonly room: string }
  | {
      readonly kind: "publication";
      readonly publication: Publication;
      /** All rooms in which the session hears it, the publication's own first. */
      readonly places: readonly Place[];
    };

/** Reads one message. */
export function parseMessage(text: unknown): Message | undefined {
  if (typeof text !== "string") return undefined;
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (!isFields(body)) return undefined;
  const { id, type, room } = body;
  // Only answers have ids, and this client's are numbers.
  if (typeof id === "number") return { kind: "answer", id, body };
  if (type === "connected") return parseHello(body);
  if (type === "subscribed") return undefined;
  if (type === "unsubscribed") {
    return typeof room === "string" ? { kind: "removed", room } : undefined;
  }
  if (typeof room !== "string") return undefined;
  const publication = parsePublication(body, room);
  if (publication === undefined) return undefined;
  const also = asList(body["also"]).filter(isPlace);
  return { kind: "publication", publication, places: [publication, ...also] };
}

function parseHello(body: Fields): Hello {
  const { session, user, ping_interval_ms: interval, timestamp } = body;
  const rooms = asList(body["rooms"]).map((place) => (isFields(place) ? place["room"] : undefined));
  return {
    kind: "hello",
    session: typeof session === "string" ? session : "",
    user: typeof user === "string" ? user : undefined,
    pingIntervalMs: isOffset(interval) ? interval : 0,
    rooms: rooms.filter((room) => typeof room === "string"),
    time: parseTime(timestamp),
  };
}

/** Reads one publication of `room`: a live one, or an entry of a history. */
export function parsePublication(body: unknown, room: string): Publication | undefined {
  if (!isFields(body)) return undefined;
  const { type, offset, timestamp, source, uid } = body;
  if (typeof type !== "string" || !isOffset(offset)) return undefined;
  return {
    event: type,
    room,
    offset,
    timestamp: typeof timestamp === "string" ? timestamp : "",
    data: decodeData(body["data"]),
    ...(typeof source === "string" ? { source } : {}),
    ...(typeof uid === "string" ? { uid } : {}),
  };
}

/** The publications of a page or of a recovery. */
export function parsePublications(body: Fields, room: string): Publication[] {
  return asList(body["publications"])
    .map((entry) => parsePublication(entry, room))
    .filter((publication) => publication !== undefined);
}

/** Where a room is, as the answer about it says. */
export function parsePosition(body: Fields): Position | undefined {
  const { epoch, offset } = body;
  return typeof epoch === "string" && isOffset(offset) ? { epoch, offset } : undefined;
}

/** Milliseconds since 1970; not a number if it is no time. */
export function parseTime(timestamp: unknown): number {
  return typeof timestamp === "string" ? Date.parse(timestamp) : Number.NaN;
}

/** Bytes are spelt as an object with this one member. */
function decodeData(data: unknown): unknown {
  if (!isFields(data)) return data;
  const { base64 } = data;
  if (typeof base64 !== "string" || Object.keys(data).length !== 1) return data;
  return decodeBase64(base64) ?? data;
}

/** Whether it is an object with members. */
export function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function asList(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

function isPlace(value: unknown): value is Place {
  return isFields(value) && typeof value["room"] === "string" && isOffset(value["offset"]);
}

/** Whether it is a whole number from 0 to 2^53-1. */
export function isOffset(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
