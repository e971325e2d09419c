// An agent without a model: it resolves the tickets that are clear, and tells the customers. It knows nothing of
// policies; the gate decides, and the agent heeds what it is told.
//
//   npm start                     in one shell
//   node examples/agent.mjs       in another
import { act } from './gate.mjs'

const TICKETS_MAX = 3

const listed = await act('tickets.list', { status: 'open' })
if (listed.status !== 200) throw new Error(`no tickets: ${JSON.stringify(listed.body)}`)
const answer = listed.body.result.body
const tickets = Array.isArray(answer) ? answer : answer.tickets
const clear = tickets.filter(({ kind }) => kind === 'resolvable').slice(0, TICKETS_MAX)
console.log(`${tickets.length} open tickets, ${clear.length} of them taken up`)

for (const ticket of clear) {
  const note = 'answered with the matching help article'
  const args = { id: ticket.id, status: 'resolved', note }
  const updated = await act('tickets.update', args, `resolve ${ticket.id}`)
  console.log(`${ticket.id} ${told(updated)}`)
  if (updated.status !== 200) continue
  const mail = { id: ticket.customer_id, subject: `About: ${ticket.subject}`, body: 'It is resolved.' }
  console.log(`  e-mail to ${ticket.customer_id}: ${told(await act('customers.email', mail))}`)
}

function told({ status, body }) {
  if (status === 200) return `${body.status}`
  if (status === 202) return `held, a person has to approve ${body.approval.id}`
  return `refused: ${body.error.message}`
}
