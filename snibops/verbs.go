package snibops

// routes are the verbs on the server's side.
func routes() []route {
	return []route{
		to(VerbUsers, doUsers), to(VerbUserShow, doUserShow), to(VerbUserCreate, doUserCreate),
		to(VerbUserDisable, doUserDisable), to(VerbUserEnable, doUserEnable), to(VerbUserDelete, doUserDelete),
		to(VerbUserResetLink, doUserResetLink), to(VerbUserLink, doUserLink), to(VerbUserUnlink, doUserUnlink),
		to(VerbUserEndSessions, doUserEndSessions), to(VerbUserExport, doUserExport),

		to(VerbSessions, doSessions), to(VerbKeys, doKeys), to(VerbKeyRevoke, doKeyRevoke),
		to(VerbEvents, doEvents), to(VerbFactorsReset, doFactorsReset), to(VerbUnlock, doUnlock),
		to(VerbRoleAdd, doRoleAdd), to(VerbRoleRemove, doRoleRemove), to(VerbRoleHolders, doRoleHolders),

		to(VerbPing, doPing), to(VerbStats, doStats), to(VerbCheck, doCheck), to(VerbRepair, doRepair),
		to(VerbBackup, doBackup), to(VerbCompact, doCompact), to(VerbReseal, doReseal), to(VerbImport, doImport),
		to(VerbRecords, doRecords),
	}
}

// Verbs returns the names of all verbs.
func Verbs() (names []string) {
	for _, r := range routes() {
		names = append(names, r.verb)
	}
	return names
}
