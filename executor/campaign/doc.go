// Package campaign kills csu's executor at every boundary, on a simulated site
// that lives on, and holds what happened there against what should have. Its
// tests do so with plans made for the purpose; csu rehearse --crash and
// --crashes do so with any plan, and replay what the tests have found.
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
package campaign
