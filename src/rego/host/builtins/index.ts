import { aws } from './aws.ts'
import { crypto } from './crypto.ts'
import { encoding } from './encoding.ts'
import { graphql } from './graphql.ts'
import { jwt } from './jwt.ts'
import type { Family } from './kind.ts'
import { misc } from './misc.ts'
import { network } from './network.ts'
import { regex } from './regex.ts'
import { schema } from './schema.ts'
import { time } from './time.ts'
import { units } from './units.ts'

let all: Family | undefined

/** Every host builtin by its name. */
export function families(): Family {
  all ??= {
    ...aws,
    ...crypto,
    ...encoding,
    ...graphql,
    ...jwt,
    ...misc,
    ...network,
    ...regex,
    ...schema,
    ...time,
    ...units,
  }
  return all
}
