package main

import (
	"io"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/google/go-cmp/cmp"

	"github.com/lsst-ts/csu/executor/campaign"
)

// TestCrashFlags: the arguments that a failure of the campaign prints are read
// back as the case that failed.
func TestCrashFlags(t *testing.T) {
	p := readPlan(t, incremental)
	for _, want := range []campaign.Case{
		{How: campaign.Killed, Dies: []campaign.Trigger{{}}},
		{How: campaign.Process, Dies: []campaign.Trigger{{On: campaign.OnRequest, Key: "offline/cscs started", N: 1, Further: 2}}},
		{How: campaign.Partial, Dies: []campaign.Trigger{
			{On: campaign.OnEffect, Key: "message posted #rubinobs Down, up; it's done: -x --y", N: 2, At: campaign.Middle},
			{On: campaign.OnDisk, Key: "EIO sync dir", N: 1},
			{On: campaign.OnRecord, N: 3, At: campaign.Before},
		}},
	} {
		var cli struct {
			Rehearse rehearseCommand `cmd:""`
		}
		parser, err := kong.New(&cli, kong.Writers(io.Discard, io.Discard), kong.Exit(func(int) {}))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parser.Parse(append([]string{"rehearse", incremental}, want.Args(12)...)); err != nil {
			t.Fatal(err)
		}
		got, err := cli.Rehearse.crashCase(p)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" || cli.Rehearse.Seed != 12 || !cli.Rehearse.asked() {
			t.Errorf("seed %d (- asked for, + read):\n%s", cli.Rehearse.Seed, diff)
		}
	}
}
