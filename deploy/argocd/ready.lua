-- Health of a Source, IdentityPolicy, Warehouse, Audience or CustomerPipeline: whether its spec is usable. A night that
-- failed makes no pipeline unhealthy: resource.customizations.health.musubi.dev_CustomerPipeline (and so on) in argocd-cm.
if obj.spec ~= nil and obj.spec.suspend then
  return { status = "Suspended", message = "the schedule rests" }
end
local status = obj.status
if status == nil or status.observedGeneration ~= obj.metadata.generation then
  return { status = "Progressing", message = "the operator has not looked at it yet" }
end
for _, condition in ipairs(status.conditions or {}) do
  if condition.type == "Ready" then
    local health = "Degraded"
    if condition.status == "True" then health = "Healthy" end
    return { status = health, message = condition.message }
  end
end
return { status = "Progressing", message = "the operator has not looked at it yet" }
