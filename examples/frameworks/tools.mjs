// What the three agents share: the gate, and tools that go through it. A guarded tool is a function like any other; when a
// person has to approve, it waits, and then answers what the upstream answered.
import { GateError, Portcullis } from 'portcullis/client'
import { z } from 'zod'

const { PORTCULLIS_URL: url = 'http://127.0.0.1:8787', PORTCULLIS_KEY: key = '' } = process.env
const gate = new Portcullis({ url, key })

const onHeld = ({ approval, reasons }) =>
  console.log(`held: ${approval.id}: ${reasons.map(({ message }) => message).join('; ')}`)

/** A refusal is something for the model to read, not the end of its run. */
const told = (tool) => (args) =>
  tool(args).catch((error) => {
    if (error instanceof GateError) return { refused: error.message, next: error.nextAction }
    throw error
  })

export const TOOLS = {
  read_ticket: {
    description: 'Read one ticket.',
    schema: z.object({ id: z.string() }),
    run: told(gate.guard('tickets.get')),
  },
  email_customer: {
    description: 'Send an e-mail to a customer.',
    schema: z.object({ id: z.string(), subject: z.string(), body: z.string() }),
    run: told(gate.guard('customers.email', { onHeld, reason: 'the ticket is answered' })),
  },
}

export const PROMPT = 'Read ticket t-1, then tell customers c-1 and c-2 that it is resolved.'
