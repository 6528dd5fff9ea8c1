// Package campaign kills csu's executor at every boundary, on a simulated site
// that lives on, and holds what happened there against what should have.
//
// It has tests only. The words:
//
//   - a life is one executor, from its start to its death or to the end of the
//     run; the lives of a case share the site and what the disk kept;
//   - a boundary is a place at which an executor can die: a record of the
//     journal, a request to a system, an answer of one, an effect at the site;
//   - a trigger is a boundary and a position: before, in the middle (the record
//     half written; the effect done and its answer lost), after;
//   - a case is a plan, a seed of the site, and the triggers of its lives;
//   - the reference is the same plan's undisturbed run at the same seed.
//
// A life's traffic runs through relays, and its journal through a file system
// that both die with it: what is under way then is not told to stop, it only
// reaches nothing any more.
package campaign
