-- Health of a CustomerPipelineRun. resource.customizations.health.musubi.dev_CustomerPipelineRun in argocd-cm.
local status = obj.status
if status == nil or status.conditions == nil then
  return { status = "Progressing", message = "the operator has not looked at it yet" }
end
local found = {}
for _, condition in ipairs(status.conditions) do
  if condition.status == "True" then found[condition.type] = condition end
end
if found.Failed ~= nil then
  return { status = "Degraded", message = found.Failed.reason .. ": " .. found.Failed.message }
end
if found.Complete ~= nil then
  return { status = "Healthy", message = found.Complete.message }
end
if found.Stalled ~= nil then
  return { status = "Degraded", message = found.Stalled.reason .. ": " .. found.Stalled.message }
end
return { status = "Progressing", message = "stage " .. (status.stage or "plan") }
