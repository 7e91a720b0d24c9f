package main

const (
	engineFolder = "internal/engine/local"
	storeFolder  = "internal/store"
)

// bugs are ordered by package.
var bugs = []bug{
	{"log-not-synced", engineFolder + "/log.go",
		"\t\tif err := e.active.Sync(); err != nil {\n\t\t\treturn err\n\t\t}\n", "", engineFolder, "TestCrash$"},
	{"answered-before-the-sync", engineFolder + "/log.go",
		"\t\terr := e.writeGroup(g)\n", "\t\tfor _, w := range g.waiters {\n\t\t\tselect {\n\t\t\tcase w.done <- nil:\n\t\t\tdefault:\n\t\t\t}\n\t\t}\n\t\tg.waiters = nil\n\t\terr := e.writeGroup(g)\n", engineFolder, "TestCrash$"},
	{"synced-before-written", engineFolder + "/log.go",
		"\t\tif _, err := e.active.WriteAt(c.buf, c.start); err != nil {\n\t\t\treturn err\n\t\t}\n\t\tif err := e.active.Sync(); err != nil {\n\t\t\treturn err\n\t\t}\n",
		"\t\tif err := e.active.Sync(); err != nil {\n\t\t\treturn err\n\t\t}\n\t\tif _, err := e.active.WriteAt(c.buf, c.start); err != nil {\n\t\t\treturn err\n\t\t}\n", engineFolder, "TestCrash$"},
	{"directory-not-synced", engineFolder + "/log.go",
		"\treturn e.fs.SyncDir(path.Join(e.dir, logDir))\n", "\t_ = path.Join\n\treturn nil\n", engineFolder, "TestCrash$"},
	{"torn-tail-taken-for-damage", engineFolder + "/recover.go",
		"return r.flags&flagGroup != 0 || seg.info.minor == 0 }", "return r.typ != 0 }", engineFolder, "TestCrash$"},
	{"damage-taken-for-a-torn-tail", engineFolder + "/recover.go",
		"return r.flags&flagGroup != 0 || seg.info.minor == 0 }", "return r.typ == 0 }", engineFolder, "TestDamage$"},
	{"served-before-durable-at-start", engineFolder + "/recover.go",
		"if err = f.Sync(); err == nil {\n\t\t\terr = e.fs.SyncDir(path.Join(e.dir, logDir))\n\t\t}\n\t}\n\treturn errs.As(\"local.Open\", errs.Temporary, \"the log's end",
		"_ = path.Join\n\t}\n\treturn errs.As(\"local.Open\", errs.Temporary, \"the log's end", engineFolder, "TestServedIsDurable$"},
	{"checkpoint-not-awaited", engineFolder + "/compact.go",
		"\treturn e.commitMoves([]move{{}}) // waits until all of it is durable\n", "\treturn nil\n", engineFolder, "TestCrash$"},
	{"moves-not-recorded", engineFolder + "/compact.go",
		"\tif len(d.moves) > 0 {\n", "\tif len(d.moves) < 0 {\n", engineFolder, "TestRebuild$|TestCrash$"},
	{"segment-deleted-while-claimed", engineFolder + "/compact.go",
		"|| claimed[n] ||", "|| claimed[n] && false ||", engineFolder, "TestClaimed|TestEngine|TestCrash"},
	{"blob-freed-at-the-first-drop", engineFolder + "/index.go",
		"r.count = max(0, r.count+n); r.count == was", "r.count = max(0, r.count*max(n, 0)+n); r.count == was", engineFolder, "TestKeptTwice$"},
	{"replayed-twice", engineFolder + "/index.go",
		"return a.commit(g.end)", "return a.commit(at(g.chunks[0].segment, max(segmentHeader, g.chunks[0].start)))", engineFolder, "TestCrash$"},
	{"records-not-verified", engineFolder + "/recover.go",
		"|| !intact(r, payload) {", "{", engineFolder, "TestDamage$"},
	{"frames-not-verified", engineFolder + "/read.go",
		"if checksum(rest[:f.stored]) != f.sum {", "if len(rest) < 0 {", engineFolder, "TestDamage$"},
	{"sync-retried-after-failure", engineFolder + "/log.go",
		"\tif p := e.failure.Load(); p != nil {\n", "\tif p := e.failure.Load(); p != nil && e == nil {\n", engineFolder, "TestFailedSync$"},
	{"reserve-given-away", engineFolder + "/blob.go",
		"if e.mu.free-e.mu.freeSpent < e.opts.Reserve {", "if e.mu.free < 0 {", engineFolder, "TestReserve$"},
}
