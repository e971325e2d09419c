/** SQL that is true of an agent, named by an expression, that had keys and has none left that works. */
export const lostKeysOf = (agentId: string): string =>
  `coalesce((select count(*) filter (where lost.revoked_at is null
     and (lost.expires_at is null or lost.expires_at > clock_timestamp())) = 0 and count(*) > 0
   from api_keys lost where lost.agent_id = ${agentId}), false)`
