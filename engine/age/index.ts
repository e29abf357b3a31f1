/*
 * The age v1 format (C2SP, age-encryption.org/v1) for X25519 recipients, by node:crypto, streaming. Not a library's: the one
 * there is for Node has its cipher in JavaScript (npm run bench -- age; docs/dependencies.md).
 */
export { Decrypting } from "./decrypt";
export { Encrypting } from "./encrypt";
export { readIdentities } from "./identities";
export { type Identity, parseIdentities, parseRecipient, type Recipient } from "./keys";
