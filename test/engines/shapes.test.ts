import { expect } from 'chai'
import { loadBundle } from '../../src/policy/index.ts'
import { closeAll } from '../../src/policy/load.ts'
import { REGO_COMPILER } from '../../src/engines/rego-compiler.ts'
import { OPTIONS, sampleFiles } from '../policy/sample.ts'

interface Case {
  readonly rules: string
  /** Line, and a part of message or hint; none: it loads. */
  readonly finds?: readonly [line: number, text: string]
}

const IF = 'if input.action.name == "x"'
const OR = 'if input.resource.id == "x"'

const CASES: readonly Case[] = [
  { rules: `deny := "no" ${IF}`, finds: [1, 'deny contains "why"'] },
  { rules: `deny := {"code": "a", "message": "b"} ${IF}`, finds: [1, 'must be a set'] },
  { rules: `default deny := "no"`, finds: [1, '`deny` is string'] },
  { rules: `deny := {"a"} ${IF} else := "b" ${OR}`, finds: [1, '`deny` is string'] },
  { rules: `deny["no"] ${IF}`, finds: [1, 'deny contains "why"'] },
  { rules: `deny[code] := "no" if code := input.resource.id`, finds: [1, 'is an object of rules'] },
  { rules: `deny.frozen contains "no" ${IF}`, finds: [1, 'is an object of rules'] },
  { rules: `deny(x) if x == 1`, finds: [1, 'is a function'] },
  { rules: `deny contains 42 ${IF}`, finds: [1, 'must hold text'] },
  { rules: `deny contains count(input.resource.id) ${IF}`, finds: [1, 'must hold text'] },
  { rules: `deny contains reason if {\n  reason := 7\n}`, finds: [1, 'must hold text'] },
  { rules: `deny contains {"msg": "no"} ${IF}`, finds: [1, '`code` and `message`'] },
  { rules: `deny contains {"code": 1, "message": "no"} ${IF}`, finds: [1, '`code` and `message`'] },
  { rules: `deny := {"a"} ${IF}\n\ndeny := {"b"} ${OR}`, finds: [3, 'another value here'] },
  { rules: `require_approval := 1 ${IF}`, finds: [1, 'require_approval contains'] },
  { rules: `obligations contains "log" ${IF}`, finds: [1, '`id`, `type`'] },
  { rules: `obligations contains {"id": "a"} ${IF}`, finds: [1, '`id`, `type`'] },
  { rules: `obligations ${IF}`, finds: [1, 'must be a set'] },
  { rules: `allow contains "x" ${IF}`, finds: [1, 'never `true`'] },
  { rules: `allow := "yes" ${IF}`, finds: [1, 'never `true`'] },
  { rules: `allow ${IF}\n\nallow := false ${OR}`, finds: [3, 'another value here than at'] },
  { rules: `allow := false ${IF}\n\nallow ${OR}`, finds: [3, 'only where it is `true`'] },
  { rules: `allow := input.resource.id ${IF}\n\nallow ${OR}`, finds: [3, 'another value'] },
  { rules: `allow ${IF}\n\nallow ${OR} else := false`, finds: [3, 'another value'] },
  { rules: `default allow := false\n\nallow ${IF}\n\nallow ${OR}` },
  { rules: `allow ${IF} else := false` },
  { rules: `allow := input.subject.properties.may` },
  { rules: `deny ${IF}` },
  { rules: `deny contains {"code": "a", "message": sprintf("%d", [1])} ${IF}` },
  { rules: `deny contains input.action.properties.args.why` },
  { rules: `deny := {why | some why in input.action.properties.args.whys}` },
  { rules: `deny := ["a"] ${IF}` },
  { rules: `default deny := set()` },
  { rules: `obligations contains {"id": "a", "type": "log", "properties": {"x": 1}} ${IF}` },
]

describe('The four rules that the gate asks for', () => {
  for (const { rules, finds } of CASES) {
    const does = finds ? 'are refused as' : 'may be'
    it(`${does} ${rules.replaceAll(/\s+/g, ' ')}`, async () => {
      const files = sampleFiles({ 'agent.rego': `package agent\n${rules}\n` })
      const result = await loadBundle(files, { ...OPTIONS, compiler: REGO_COMPILER })
      if (result.ok) await closeAll(result.bundle.modules)
      const found = result.ok ? [] : result.diagnostics
      expect(found.length, JSON.stringify(found)).to.equal(finds ? 1 : 0)
      if (!finds || !found[0]) return
      const [{ code, file, line, message, hint }] = [found[0]]
      expect({ code, file, line }).to.deep.equal({
        code: 'wrong_rule_shape',
        file: 'agent.rego',
        line: finds[0] + 1,
      })
      expect(`${message} ${hint ?? ''}`).to.include(finds[1])
    })
  }
})
