// Clients of centrifuge-go that do as they are told. A line in is a command, {"ask", "client", "do", ...}; a line out is its
// answer, {"ask", "result" | "error"}, or what a client was told, {"client", "event", ...}.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"os"
	"sync"

	"github.com/centrifugal/centrifuge-go"
)

type fields = map[string]any

// One line in.
type command struct {
	Ask       int             `json:"ask"`
	Client    string          `json:"client"`
	Do        string          `json:"do"`
	Encoding  string          `json:"encoding"`
	Address   string          `json:"address"`
	Token     string          `json:"token"`
	Tokens    []string        `json:"tokens"`
	Channel   string          `json:"channel"`
	JoinLeave bool            `json:"join_leave"`
	Data      json.RawMessage `json:"data"`
	Base64    []byte          `json:"base64"`
	Limit     int32           `json:"limit"`
	Since     *struct {
		Offset uint64 `json:"offset"`
		Epoch  string `json:"epoch"`
	} `json:"since"`
	Reverse bool   `json:"reverse"`
	Method  string `json:"method"`
}

var (
	lock    sync.Mutex
	clients = map[string]*centrifuge.Client{}
)

func say(line fields) {
	text, err := json.Marshal(line)
	if err != nil {
		panic(err)
	}
	lock.Lock()
	defer lock.Unlock()
	os.Stdout.Write(append(text, '\n'))
}

// Data that is no JSON is said in base64.
func read(data []byte) any {
	switch {
	case len(data) == 0:
		return nil
	case json.Valid(data):
		return json.RawMessage(data)
	default:
		return fields{"base64": data}
	}
}

func (c *command) written() []byte {
	if c.Base64 != nil {
		return c.Base64
	}
	return c.Data
}

func infoOf(info *centrifuge.ClientInfo) any {
	if info == nil {
		return nil
	}
	seen := fields{"client": info.Client, "user": info.User, "conn_info": read(info.ConnInfo)}
	if len(info.ChanInfo) > 0 {
		seen["chan_info"] = read(info.ChanInfo)
	}
	return seen
}

func publicationOf(p centrifuge.Publication) fields {
	return fields{"data": read(p.Data), "offset": p.Offset, "info": infoOf(p.Info)}
}

func subscribedOf(e centrifuge.SubscribedEvent) fields {
	var position any
	if e.StreamPosition != nil {
		position = fields{"offset": e.StreamPosition.Offset, "epoch": e.StreamPosition.Epoch}
	}
	return fields{
		"recoverable": e.Recoverable, "positioned": e.Positioned, "position": position,
		"was_recovering": e.WasRecovering, "recovered": e.Recovered, "data": read(e.Data),
	}
}

func changeOf(code uint32, reason string) fields {
	return fields{"code": code, "reason": reason}
}

func errorOf(err error) fields {
	var refused *centrifuge.Error
	if errors.As(err, &refused) {
		return fields{"code": refused.Code, "message": refused.Message}
	}
	return fields{"code": nil, "message": err.Error()}
}

// Says an event of a client, or of one of its channels.
func teller(client, channel string) func(string, fields) {
	return func(event string, told fields) {
		told["client"], told["event"] = client, event
		if channel != "" {
			told["channel"] = channel
		}
		say(told)
	}
}

// Tokens are given out one after another, the last of them again and again.
func giver(tokens []string, wanted func()) func() (string, error) {
	return func() (string, error) {
		wanted()
		token := tokens[0]
		if len(tokens) > 1 {
			tokens = tokens[1:]
		}
		return token, nil
	}
}

func create(c *command) {
	tell := teller(c.Client, "")
	config := centrifuge.Config{Token: c.Token, Data: c.Data}
	if c.Tokens != nil {
		give := giver(c.Tokens, func() { tell("token wanted", fields{}) })
		config.GetToken = func(centrifuge.ConnectionTokenEvent) (string, error) { return give() }
	}
	address, make := "ws://"+c.Address+"/connection/websocket", centrifuge.NewJsonClient
	if c.Encoding == "protobuf" {
		make = centrifuge.NewProtobufClient
	}
	client := make(address, config)
	listen(client, c.Client, tell)
	lock.Lock()
	defer lock.Unlock()
	clients[c.Client] = client
}

func listen(client *centrifuge.Client, name string, tell func(string, fields)) {
	client.OnConnecting(func(e centrifuge.ConnectingEvent) { tell("connecting", changeOf(e.Code, e.Reason)) })
	client.OnConnected(func(e centrifuge.ConnectedEvent) {
		// When it tells of this, the library is about to subscribe to all that is subscribed to: a story that goes on at
		// once would have it do so twice. It takes in no answer before it is through with that.
		go func() {
			_, _ = client.RPC(context.Background(), "settled", []byte("null"))
			tell("connected", fields{"id": e.ClientID, "data": read(e.Data)})
		}()
	})
	client.OnDisconnected(func(e centrifuge.DisconnectedEvent) { tell("disconnected", changeOf(e.Code, e.Reason)) })
	client.OnError(func(e centrifuge.ErrorEvent) { tell("error", errorOf(e.Error)) })
	client.OnMessage(func(e centrifuge.MessageEvent) { tell("message", fields{"data": read(e.Data)}) })
	client.OnSubscribing(func(e centrifuge.ServerSubscribingEvent) {
		teller(name, e.Channel)("server subscribing", fields{})
	})
	client.OnSubscribed(func(e centrifuge.ServerSubscribedEvent) {
		teller(name, e.Channel)("server subscribed", subscribedOf(centrifuge.SubscribedEvent{
			Positioned: e.Positioned, Recoverable: e.Recoverable, StreamPosition: e.StreamPosition,
			WasRecovering: e.WasRecovering, Recovered: e.Recovered, Data: e.Data,
		}))
	})
	client.OnUnsubscribed(func(e centrifuge.ServerUnsubscribedEvent) {
		teller(name, e.Channel)("server unsubscribed", fields{})
	})
	client.OnPublication(func(e centrifuge.ServerPublicationEvent) {
		teller(name, e.Channel)("server publication", publicationOf(e.Publication))
	})
	client.OnJoin(func(e centrifuge.ServerJoinEvent) {
		teller(name, e.Channel)("server join", fields{"info": infoOf(&e.ClientInfo)})
	})
	client.OnLeave(func(e centrifuge.ServerLeaveEvent) {
		teller(name, e.Channel)("server leave", fields{"info": infoOf(&e.ClientInfo)})
	})
}

func subscribe(client *centrifuge.Client, c *command) error {
	tell := teller(c.Client, c.Channel)
	config := centrifuge.SubscriptionConfig{Token: c.Token, JoinLeave: c.JoinLeave, Recoverable: true}
	if c.Tokens != nil {
		give := giver(c.Tokens, func() { tell("subscription token wanted", fields{}) })
		config.GetToken = func(centrifuge.SubscriptionTokenEvent) (string, error) { return give() }
	}
	subscription, err := client.NewSubscription(c.Channel, config)
	if err != nil {
		return err
	}
	subscription.OnSubscribing(func(e centrifuge.SubscribingEvent) { tell("subscribing", changeOf(e.Code, e.Reason)) })
	subscription.OnSubscribed(func(e centrifuge.SubscribedEvent) { tell("subscribed", subscribedOf(e)) })
	subscription.OnUnsubscribed(func(e centrifuge.UnsubscribedEvent) {
		tell("unsubscribed", changeOf(e.Code, e.Reason))
	})
	subscription.OnPublication(func(e centrifuge.PublicationEvent) {
		tell("publication", publicationOf(e.Publication))
	})
	subscription.OnJoin(func(e centrifuge.JoinEvent) { tell("join", fields{"info": infoOf(&e.ClientInfo)}) })
	subscription.OnLeave(func(e centrifuge.LeaveEvent) { tell("leave", fields{"info": infoOf(&e.ClientInfo)}) })
	subscription.OnError(func(e centrifuge.SubscriptionErrorEvent) { tell("subscription error", errorOf(e.Error)) })
	return subscription.Subscribe()
}

func unsubscribe(client *centrifuge.Client, channel string) error {
	subscription, _ := client.GetSubscription(channel)
	if err := subscription.Unsubscribe(); err != nil {
		return err
	}
	return client.RemoveSubscription(subscription)
}

func presence(client *centrifuge.Client, channel string) (any, error) {
	result, err := client.Presence(context.Background(), channel)
	members := fields{}
	for id, info := range result.Clients {
		members[id] = infoOf(&info)
	}
	return members, err
}

func history(client *centrifuge.Client, c *command) (any, error) {
	options := []centrifuge.HistoryOption{
		centrifuge.WithHistoryLimit(c.Limit), centrifuge.WithHistoryReverse(c.Reverse),
	}
	if c.Since != nil {
		since := centrifuge.StreamPosition{Offset: c.Since.Offset, Epoch: c.Since.Epoch}
		options = append(options, centrifuge.WithHistorySince(&since))
	}
	result, err := client.History(context.Background(), c.Channel, options...)
	publications := []fields{}
	for _, publication := range result.Publications {
		publications = append(publications, publicationOf(publication))
	}
	return fields{"publications": publications, "epoch": result.Epoch, "offset": result.Offset}, err
}

func do(client *centrifuge.Client, c *command) (any, error) {
	everyTime := context.Background()
	switch c.Do {
	case "create":
		create(c)
		return nil, nil
	case "connect":
		return nil, client.Connect()
	case "disconnect":
		return nil, client.Disconnect()
	case "subscribe":
		return nil, subscribe(client, c)
	case "unsubscribe":
		return nil, unsubscribe(client, c.Channel)
	case "publish":
		_, err := client.Publish(everyTime, c.Channel, c.written())
		return nil, err
	case "presence":
		return presence(client, c.Channel)
	case "presence_stats":
		stats, err := client.PresenceStats(everyTime, c.Channel)
		return fields{"clients": stats.NumClients, "users": stats.NumUsers}, err
	case "history":
		return history(client, c)
	case "rpc":
		result, err := client.RPC(everyTime, c.Method, c.written())
		return read(result.Data), err
	case "send":
		return nil, client.Send(everyTime, c.written())
	default:
		return nil, errors.New("unknown command " + c.Do)
	}
}

func obey(c *command) {
	lock.Lock()
	client := clients[c.Client]
	lock.Unlock()
	result, err := do(client, c)
	if err != nil {
		say(fields{"ask": c.Ask, "error": errorOf(err)})
	} else {
		say(fields{"ask": c.Ask, "result": result})
	}
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		c := new(command)
		if err := json.Unmarshal(lines.Bytes(), c); err != nil {
			panic(err)
		}
		go obey(c)
	}
}
