package tablet

import (
	"fmt"
	"log/slog"
)

// raftLogger passes raft's log lines on: its chatter about elections at debug
// level, its panics as panics.
type raftLogger struct{ to *slog.Logger }

func (l raftLogger) Debug(v ...any)              {}
func (l raftLogger) Debugf(f string, v ...any)   {}
func (l raftLogger) Info(v ...any)               { l.to.Debug(fmt.Sprint(v...)) }
func (l raftLogger) Infof(f string, v ...any)    { l.to.Debug(fmt.Sprintf(f, v...)) }
func (l raftLogger) Warning(v ...any)            { l.to.Debug(fmt.Sprint(v...)) }
func (l raftLogger) Warningf(f string, v ...any) { l.to.Debug(fmt.Sprintf(f, v...)) }
func (l raftLogger) Error(v ...any)              { l.to.Warn(fmt.Sprint(v...)) }
func (l raftLogger) Errorf(f string, v ...any)   { l.to.Warn(fmt.Sprintf(f, v...)) }
func (l raftLogger) Fatal(v ...any)              { panic("FATAL: " + fmt.Sprint(v...)) }
func (l raftLogger) Fatalf(f string, v ...any)   { panic("FATAL: " + fmt.Sprintf(f, v...)) }
func (l raftLogger) Panic(v ...any)              { panic("BUG: raft: " + fmt.Sprint(v...)) }
func (l raftLogger) Panicf(f string, v ...any)   { panic("BUG: raft: " + fmt.Sprintf(f, v...)) }
