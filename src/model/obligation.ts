/** Types of obligations that enforcement points know (AuthZEN obligations profile). */
export const OBLIGATION_TYPES = [
  'step-up',
  'notification',
  'session_termination',
  'custom',
] as const

/** The type that goes out: what the profile does not name is `custom`. */
export const obligationType = (type: string): string =>
  (OBLIGATION_TYPES as readonly string[]).includes(type) ? type : 'custom'
