package main

import (
	"flag"
	"fmt"
	"time"
)

var tokenVerb = verb{name: "token", usage: "create", summary: "make a token with which one node may join the cluster",
	long: `The token is good for one node and until it expires. On the new machine:
    weir serve --join HOST:4590 --token TOKEN
where HOST:4590 is the peer address of any member.`,
	flags: func(fs *flag.FlagSet) func([]string) error {
		console := adminFlag(fs)
		ttl := fs.Duration("ttl", time.Hour, "how long the token is good, one minute to a day")
		return func(args []string) error {
			if len(args) != 1 || args[0] != "create" {
				return fmt.Errorf("say: weir token create")
			}
			var got struct {
				Token   string    `json:"token"`
				Expires time.Time `json:"expires"`
			}
			request := map[string]int{"ttl_seconds": int(ttl.Seconds())}
			if err := admin(*console, "POST", "/api/tokens", request, &got); err != nil {
				return err
			}
			fmt.Println(got.Token)
			return nil
		}
	}}
