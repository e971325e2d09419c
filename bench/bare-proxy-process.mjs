// What the gate is compared with: Express that parses JSON and forwards with undici, and nothing else.
import express from 'express'
import { Pool } from 'undici'

const pool = new Pool(process.env.UPSTREAM, { connections: 64 })
const app = express()
app.use(express.json())
app.post('/', async (req, res) => {
  const answer = await pool.request({
    method: 'PATCH',
    path: '/items/i-1',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ note: req.body.args.note }),
  })
  res.json({ result: await answer.body.json() })
})
app.post('/constant', (_req, res) => res.json({ result: true }))
const server = app.listen(0, '127.0.0.1', () => {
  process.send({ url: `http://127.0.0.1:${server.address().port}/` })
})
process.on('disconnect', () => process.exit(0))
