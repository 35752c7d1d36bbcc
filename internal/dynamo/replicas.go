package dynamo

import (
	"strconv"

	"weir.dev/weir/internal/awsapi"
	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/service"
)

// globalTableVersion is that of tables whose replicas UpdateTable makes.
const globalTableVersion = "2019.11.21"

// describeWithReplicas is the table as AWS describes it to those who ask for it.
func (c *call) describeWithReplicas(t *service.Table) (*TableDescription, error) {
	d := c.describe(t)
	replicas, err := c.door.service.Replicas(c.ctx, t)
	if err != nil {
		return nil, err
	}
	for i := range replicas {
		d.Replicas = append(d.Replicas, c.replica(t, &replicas[i]))
		d.GlobalTableVersion = awsapi.Some(globalTableVersion)
	}
	return d, nil
}

func (c *call) replica(t *service.Table, r *service.Replica) ReplicaDescription {
	d := ReplicaDescription{
		RegionName: awsapi.Some(r.Region), ReplicaStatus: awsapi.Some("ACTIVE"),
		ReplicaArn: awsapi.Some("arn:aws:dynamodb:" + r.Region + ":" + c.req.Account + ":table/" + t.Name),
	}
	if r.Copying > 0 {
		d.ReplicaStatus = awsapi.Some("CREATING")
		d.ReplicaStatusPercentProgress = awsapi.Some(strconv.Itoa(100 * (r.Parts - r.Copying) / r.Parts))
	}
	if r.Stopped {
		d.ReplicaStatusDescription = awsapi.Some("The link " + r.Link + " ships nothing now: it is paused, or the other region has taken over")
	}
	if t.Spec.Class == model.ClassInfrequentAccess {
		d.ReplicaTableClassSummary = &TableClassSummary{TableClass: awsapi.Some("STANDARD_INFREQUENT_ACCESS")}
	}
	return d
}

// updateReplicas carries out what UpdateTable asks of a table's replicas, one after
// the other, when each of them is well-formed.
func (c *call) updateReplicas(table string, in *UpdateTableInput) (output, error) {
	if in.BillingMode.Set || in.ProvisionedThroughput != nil || in.DeletionProtectionEnabled.Set || in.TableClass.Set || in.SSESpecification != nil {
		return nil, invalid("Replicas are changed by a request of their own: the other parameters of UpdateTable cannot be combined with ReplicaUpdates")
	}
	t, err := c.door.service.DescribeTable(c.ctx, table)
	if err != nil {
		return nil, missingTable(table, err)
	}
	for i := range in.ReplicaUpdates {
		if err := c.checkReplica(&in.ReplicaUpdates[i]); err != nil {
			return nil, err
		}
	}
	for i := range in.ReplicaUpdates {
		if err := c.updateReplica(t, &in.ReplicaUpdates[i]); err != nil {
			return nil, missingTable(table, err)
		}
	}
	desc, err := c.describeWithReplicas(t)
	return &UpdateTableOutput{TableDescription: desc}, err
}

// checkReplica checks what can be known of one change without looking at links.
func (c *call) checkReplica(u *ReplicationGroupUpdate) error {
	actions, region, settings := 0, "", false
	if a := u.Create; a != nil {
		actions, region = actions+1, a.RegionName.V
		settings = a.KMSMasterKeyId.Set || a.ProvisionedThroughputOverride || a.OnDemandThroughputOverride || a.GlobalSecondaryIndexes || a.TableClassOverride.Set
	}
	if a := u.Update; a != nil {
		actions, region = actions+1, a.RegionName.V
		settings = a.KMSMasterKeyId.Set || a.ProvisionedThroughputOverride || a.OnDemandThroughputOverride || a.GlobalSecondaryIndexes || a.TableClassOverride.Set
	}
	if a := u.Delete; a != nil {
		actions, region = actions+1, a.RegionName.V
	}
	switch {
	case actions != 1:
		return invalid("One or more parameter values were invalid: A replica update has exactly one of Create, Update and Delete")
	case region == c.req.Region:
		return invalid("Cannot add, delete, or update the local region through ReplicaUpdates. Use CreateTable, DeleteTable, or UpdateTable as required.")
	case settings:
		return invalid("Settings of single replicas are not supported by Weir")
	}
	return nil
}

func (c *call) updateReplica(t *service.Table, u *ReplicationGroupUpdate) error {
	switch {
	case u.Create != nil:
		return c.door.service.CreateReplica(c.ctx, t.Name, u.Create.RegionName.V)
	case u.Delete != nil:
		return c.door.service.DeleteReplica(c.ctx, t.Name, u.Delete.RegionName.V)
	default: // without settings it changes nothing
		return c.door.service.CheckReplica(c.ctx, t, u.Update.RegionName.V)
	}
}
