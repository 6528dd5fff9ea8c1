// Package campaign kills csu's executor at every boundary, on a simulated site
// that lives on, and compares what happened there with an undisturbed run. It is a
// maintainers' tool: its tests are the campaign, and csu itself does not contain it.
//
// The words:
//
//   - a life is one executor, from its start to its death or to the end of the
//     run; the lives of a case share the site and what the disk kept;
//   - a boundary is a place at which an executor can die: a record of the
//     journal, a request to a system, an answer of one, an effect at the site;
//   - a trigger is a boundary and a position: before, in the middle (the record
//     half written; the effect done and its answer lost), after;
//   - a crash is what the death does to the disk: what the process had written
//     stays, or what was not synced is gone;
//   - a case is a plan, a seed of the site, and the triggers of its lives;
//   - the reference is the same plan's undisturbed run at the same seed.
//
// A life's traffic runs through relays, and its journal through a file system
// that both die with it: what is under way then is not told to stop, it only
// reaches nothing any more.
//
// # Running the campaign
//
// make test runs a slice, and make campaign everything (-full). -seed draws other
// cases. A failure prints the command that replays its smallest case, such as
//
//	go test ./executor/campaign -run '^TestCampaign$' -plan talk -seed 1 -crash power -triggers 'record|talk/asked started|1|after'
//
// Add -v to see how each life ended. -plan is one of the campaign's own plans or the
// name of a file in plans/, and -triggers are those of the lives, in their order, with
// semicolons between them:
//
//	record|offline/cscs started|1|middle   in the middle of writing that record; or before, after
//	request|offline/cscs started|1|2       before the second request after that record
//	answer|offline/cscs started|1|2        before the second answer after that record
//	effect|rebooted azar02 |1|middle       after the effect, before its answer; or after
//	disk|EIO sync|3|                       the third fsync fails
//	none                                   no crash
//
// -crash is killed, power (what was not synced is gone), partial (some bytes of it
// stay), or process: csu exec is a process of its own and gets SIGKILL. A schedule of
// two csu is replayed by its seed, with -rivals.
//
// # What the campaign has found
//
// A defect that a case has found is added here with the commit that mends it and what
// reproduces it. Mistakes that are made on purpose are in mutation_test.go.
//
//	commit   found by                      defect, and what reproduces it
//
//	8c56081  FuzzRequest                   The problem of an empty request was reported without its file.
//	                                       compiler/internal/load: FuzzRequest/d77b4e39818219ad
//	f995038  crash, on a machine that      The campaign started a life while the site still handled what the last one
//	         stalled                       had sent, so that a script was added twice. No seed shows it without a stall.
//	b52ba1f  the same                      csu looked for a script whose command may have been sent only up to half a
//	                                       minute after the record of it. A laptop can sleep in between; the script
//	                                       was then taken for not added. executor/internal/action:
//	                                       TestScriptWhoseCommandMayHaveComeLate
//	d51f5b4  schedule of two csu           Before it continued without the ledger, csu did not ask whether the run had
//	                                       been continued from another copy of its journal; a yes with the older copy
//	                                       repeated effects. executor: TestRecoveryTakenUpWhileAway; -rivals 927, where
//	                                       the operator of rivals_machine_test.go agrees with any copy
//	3a3d85e  TestStatusOfALongJournal      csu status read a journal of 100,000 lines twice, and took longer than the
//	                                       test allows.
//	c7f9fce  schedule of two csu           What was answered about a step after one takeover counted after the next
//	                                       one as well, so that a message was posted twice. executor:
//	                                       TestDoubtedAgain; -rivals 27
//	1f6528c  FuzzRequest                   A control character in a reason made the compiler panic.
//	                                       compiler/internal/load: FuzzRequest/a2a86f833e641478
package campaign
