// What the demo business system starts with.

const CREATED = '2026-11-01T09:00:00.000Z'

export const CUSTOMERS = [
  { id: 'c-1', name: 'Ada Example', email: 'ada@customer.example', do_not_contact: false },
  { id: 'c-2', name: 'Grace Example', email: 'grace@customer.example', do_not_contact: true },
]

const SUBJECTS = [
  ['Password reset link has expired', 'resolvable'],
  ['How do I export my data?', 'resolvable'],
  ['Invoice shows the old address', 'resolvable'],
  ['App crashes sometimes', 'ambiguous'],
  ['Change the billing e-mail', 'resolvable'],
  ['Something is wrong with my account', 'ambiguous'],
  ['Two-factor code does not arrive', 'resolvable'],
  ['Please call me back', 'ambiguous'],
  ['Downgrade to the free plan', 'resolvable'],
  ['Report is empty since Monday', 'ambiguous'],
  ['Typo on the pricing page', 'resolvable'],
  ['I want a refund', 'ambiguous'],
]

export const TICKETS = SUBJECTS.map(([subject, kind], index) => ({
  id: `t-${index + 1}`,
  subject,
  kind,
  status: 'open',
  priority: index % 4 === 3 ? 'high' : 'normal',
  assignee: null,
  note: null,
  customer_id: index % 3 === 2 ? 'c-2' : 'c-1',
  created_at: CREATED,
}))
