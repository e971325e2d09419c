import { aws } from './aws.ts'
import { crypto } from './crypto.ts'
import { documents } from './documents.ts'
import { encoding } from './encoding.ts'
import { graphql } from './graphql.ts'
import { identifiers } from './identifiers.ts'
import { jwt } from './jwt.ts'
import type { Family } from './kind.ts'
import { network } from './network.ts'
import { outside } from './outside.ts'
import { regex } from './regex.ts'
import { schema } from './schema.ts'
import { time } from './time.ts'
import { units } from './units.ts'
import { uris } from './uris.ts'
import { versions } from './versions.ts'
import { yamls } from './yaml.ts'

let all: Family | undefined

/** Every host builtin by its name. */
export function families(): Family {
  all ??= {
    ...aws,
    ...crypto,
    ...encoding,
    ...graphql,
    ...jwt,
    ...documents,
    ...identifiers,
    ...outside,
    ...uris,
    ...versions,
    ...network,
    ...regex,
    ...schema,
    ...time,
    ...units,
    ...yamls,
  }
  return all
}
