// Bytes as base64 with padding (RFC 4648 section 4), both ways, with what every platform has.

/** How many bytes are spelt at once: functions take only so many arguments. */
const CHUNK_BYTES = 0x8000;

/** Spells bytes. */
export function encodeBase64(bytes: Uint8Array): string {
  let binary = "";
  for (let start = 0; start < bytes.length; start += CHUNK_BYTES) {
    binary += String.fromCharCode(...bytes.subarray(start, start + CHUNK_BYTES));
  }
  return btoa(binary);
}

/** Reads bytes; `undefined` if `text` is no base64. */
export function decodeBase64(text: string): Uint8Array | undefined {
  let binary: string;
  try {
    binary = atob(text);
  } catch {
    return undefined;
  }
  return Uint8Array.from(binary, (character) => character.charCodeAt(0));
}
