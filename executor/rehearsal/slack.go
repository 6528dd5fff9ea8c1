package rehearsal

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/lsst-ts/csu/executor/plan"
)

// slackChannels holds the time of the last message in each channel.
type slackChannels map[string]time.Time

// slackPause is the time that Slack requires between two messages to a channel.
const slackPause = time.Second

// slackHandler serves the part of Slack's Web API that a bot needs.
func (s *Site) slackHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/auth.test", s.slackCall(func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]any{
			"ok": true, "url": "https://rehearsal.slack.com/", "team": "rehearsal", "user": "csu",
			"team_id": "T0REHEARSE", "user_id": "U0REHEARSE", "bot_id": "B0REHEARSE",
		})
	}))
	mux.HandleFunc("POST /api/chat.postMessage", s.slackCall(s.postMessage))
	return mux
}

func (s *Site) slackCall(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		token, bearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if !bearer {
			token = r.FormValue("token")
		}
		s.mu.Lock()
		down := s.strikes(slackDown, "")
		s.mu.Unlock()
		if down {
			http.Error(w, "Service Unavailable", http.StatusServiceUnavailable)
			return
		}
		switch token {
		case s.slackToken:
			next(w, r)
		case "":
			writeJSON(w, http.StatusOK, map[string]any{"ok": false, "error": "not_authed"})
		default:
			writeJSON(w, http.StatusOK, map[string]any{"ok": false, "error": "invalid_auth"})
		}
	}
}

// countsForSlack reports whether the message begins the fault slack-down: a hand-over
// does, or any message if the plan has no hand-over.
func (s *Site) countsForSlack(text string) bool {
	handovers := 0
	for step := range s.plan.AllSteps() {
		if a, ok := step.Action.Parameters.(*plan.Announce); ok && a.Handover {
			if handovers++; strings.Contains(text, a.Text) {
				return true
			}
		}
	}
	return handovers == 0
}

func (s *Site) postMessage(w http.ResponseWriter, r *http.Request) {
	channel, text := r.FormValue("channel"), r.FormValue("text")
	refused := func(why string) { writeJSON(w, http.StatusOK, map[string]any{"ok": false, "error": why}) }
	switch {
	case channel == "":
		refused("channel_not_found")
		return
	case text == "":
		refused("no_text")
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.countsForSlack(text) {
		s.moment(messageArrives)
	}
	if s.strikes(slackDown, "") {
		http.Error(w, "Service Unavailable", http.StatusServiceUnavailable)
		return
	}
	now := s.clk.Now()
	busy := s.strikes(slackBusy, "") && s.refusedMessages < slackRefusals
	if busy {
		s.refusedMessages++
	}
	if last, ok := s.slack[channel]; busy || ok && now.Sub(last) < slackPause {
		w.Header().Set("Retry-After", "1")
		writeJSON(w, http.StatusTooManyRequests, map[string]any{"ok": false, "error": "ratelimited"})
		return
	}
	s.slack[channel] = now
	s.effect(Effect{System: SystemSlack, Kind: MessagePosted, Subject: channel, Detail: text})
	s.react(text)
	stamp := strconv.FormatFloat(float64(now.UnixMicro())/1e6, 'f', 6, 64)
	writeJSON(w, http.StatusOK, map[string]any{
		"ok": true, "channel": "C0REHEARSE", "ts": stamp,
		"message": map[string]string{"type": "message", "text": text, "ts": stamp, "user": "U0REHEARSE"},
	})
}
