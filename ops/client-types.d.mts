/** The text of src/client/api.ts, from the OpenAPI document. */
export function clientTypes(document: object): string
