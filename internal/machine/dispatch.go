package machine

import "weir.dev/weir/internal/model"

// applies names the function of every command. A kind stays here for as long
// as a log may hold it.
var applies = map[model.CommandKind]applyFunc{
	model.CmdDropResource: applyDropResource,

	model.CmdPutItem:    applyPutItem,
	model.CmdUpdateItem: applyUpdateItem,
	model.CmdDeleteItem: applyDeleteItem,
	model.CmdBatchWrite: applyBatchWrite,

	model.CmdSend:             applySend,
	model.CmdReceive:          applyReceive,
	model.CmdDeleteMessages:   applyDeleteMessages,
	model.CmdChangeVisibility: applyChangeVisibility,
	model.CmdPurge:            applyPurge,
	model.CmdSetQueueSettings: applySetQueueSettings,
	model.CmdCancelScheduled:  applyCancelScheduled,

	model.CmdClaim:     applyClaim,
	model.CmdPipeApply: applyPipeApply,
	model.CmdSettle:    applySettle,

	model.CmdClaimRecords:  applyClaimRecords,
	model.CmdSettleRecords: applySettleRecords,

	model.CmdPutRecords:  applyPutRecords,
	model.CmdCloseShard:  applyCloseShard,
	model.CmdTrimShard:   applyTrimShard,
	model.CmdSetPosition: applySetPosition,

	model.CmdWatch:        applyWatch,
	model.CmdAdvance:      applyAdvance,
	model.CmdApplyChanges: applyChanges,
	model.CmdRole:         applyRole,
	model.CmdRewrite:      applyRewrite,
	model.CmdRewriteUnit:  applyRewriteUnit,
	model.CmdApplyUnit:    applyUnit,

	model.CmdTellConflicts: applyTellConflicts,

	model.CmdCatalog: applyCatalog,
}

// queries names the function of every query.
var queries = map[model.QueryKind]queryFunc{
	model.QueryGetItem:  queryGetItem,
	model.QueryItems:    queryItems,
	model.QueryScan:     queryScan,
	model.QueryGetBatch: queryGetBatch,
	model.QueryQueue:    queryQueue,
	model.QueryPeek:     queryPeek,
	model.QueryClaims:   queryClaims,

	model.QueryRecords:   queryRecords,
	model.QueryShard:     queryShard,
	model.QueryShardAt:   queryShardAt,
	model.QueryPositions: queryPositions,

	model.QueryChanges:   queryChanges,
	model.QueryReader:    queryReader,
	model.QueryCopy:      queryCopy,
	model.QueryConflicts: queryConflicts,
	model.QueryDigest:    queryDigest,
	model.QueryLook:      queryLook,
	model.QueryByKey:     queryByKey,
	model.QueryUnit:      queryUnit,
}

// readies names, for the queries that one can wait with, the function that
// says whether the query would find something.
var readies = map[model.QueryKind]func(r Reader, q *model.Query) (bool, error){
	model.QueryRecords: recordsReady,
	model.QueryChanges: changesReady,
}

// QueryReady says whether the query would find something now; queries that one
// cannot wait with always do. It only reads, and may run beside Apply.
func QueryReady(r Reader, q *model.Query) (bool, error) {
	ready, ok := readies[q.Kind]
	if !ok {
		return true, nil
	}
	return ready(r, q)
}
