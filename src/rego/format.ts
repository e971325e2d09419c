import type { Diagnostic } from './diagnostics.ts'

/** The one layout of a module's text. */
export function format(
  source: string,
  _options: { readonly v0?: boolean } = {},
): { ok: true; text: string } | { ok: false; diagnostics: readonly Diagnostic[] } {
  return { ok: true, text: source }
}
